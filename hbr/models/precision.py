"""Number formats to compute in."""

import logging
import platform

import torch

logger = logging.getLogger(__name__)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return a context that computes in bfloat16 for the precision `bf16`."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def warn_slow_bf16(device: torch.device, precision: str) -> None:
    """Log where bfloat16 is requested and the processor has no instructions for it."""
    if precision == "fp32":
        return
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        x86 = platform.machine().lower() in ("x86_64", "amd64")
        cpu = torch.cpu
        native = not x86 or cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported()
    if not native:
        logger.info("bf16: this processor has no instructions for it; fp32 may be quicker")
