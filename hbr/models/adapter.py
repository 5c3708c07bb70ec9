"""Low-rank adapters by peft: a few weights beside frozen ones, merged into them at the end.

peft is imported where there is an adapter, and only there: that takes seconds.
"""

from pathlib import Path
from typing import Any

import torch

from hbr.core.errors import UserError, first_line
from hbr.core.settings import Adapter
from hbr.models.encoder import Encoder
from hbr.models.sources import ADAPTER_WEIGHTS


class LowRankAdapter:
    """Low-rank matrices beside the linear layers of an encoder's backbone, whose weights freeze.

    They are alike for a seed. Layers behind the pooling are trained as they are. Raises UserError
    where the settings name no layer of the backbone. Source: LoRA, arXiv 2106.09685.
    """

    def __init__(self, encoder: Encoder, settings: Adapter, seed: int) -> None:
        import peft

        targets: Any = settings.target_modules
        alpha: Any = settings.lora_alpha  # peft declares an integer and takes any number
        if targets is not None:
            targets = targets[0] if targets == ("all-linear",) else list(targets)
        config = peft.LoraConfig(
            r=settings.rank,
            lora_alpha=alpha,
            lora_dropout=settings.lora_dropout,
            target_modules=targets,
        )
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                self.model: Any = peft.get_peft_model(encoder.backbone, config)
        except ValueError as error:
            kind = type(encoder.backbone).__name__
            raise UserError(f"adapter.target_modules: {kind}: {first_line(error)}") from error
        encoder.adapter = self

    def merge(self, encoder: Encoder) -> None:
        """Add the matrices to the weights that they stand beside, and take them out."""
        encoder.backbone, encoder.adapter = self.model.merge_and_unload(), None

    def save(self, folder: Path, base: str, revision: str | None) -> None:
        """Write them alone in peft's layout; `base` is the hub id or the folder of the encoder."""
        config = self.model.peft_config["default"]
        config.base_model_name_or_path, config.revision = base, revision
        self.model.save_pretrained(folder)
        (folder / "README.md").unlink()  # a template: the card of the run takes its place


def load_adapter(backbone: Any, folder: Path) -> Any:
    """Return a backbone with the adapter of a folder merged into it.

    Raises UserError for one that does not fit, or whose weights are not there.
    """
    import peft

    try:
        adapted = peft.PeftModel.from_pretrained(backbone, str(folder), local_files_only=True)
        _check_weights(adapted, folder)
        return adapted.merge_and_unload().requires_grad_(True)
    except UserError:
        raise
    except Exception as error:  # an adapter of any kind, for any backbone
        raise UserError(f"{folder}: the adapter cannot be loaded: {first_line(error)}") from error


def _check_weights(adapted: Any, folder: Path) -> None:
    """Raise UserError where the file and the adapter do not hold the same weights by name."""
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    with safe_open(folder / ADAPTER_WEIGHTS, framework="pt") as file:
        stored = set(file.keys())
    made = get_peft_model_state_dict(adapted)
    if differing := sorted(stored ^ made.keys()):
        raise UserError(
            f"{folder / ADAPTER_WEIGHTS} does not fit {type(adapted.get_base_model()).__name__}: "
            f"{differing[0]} is on one side alone"
        )
