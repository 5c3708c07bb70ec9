from hbr.experiments.api import Comparison as Comparison
from hbr.experiments.api import Evaluation as Evaluation
from hbr.experiments.api import Run as Run
from hbr.experiments.api import Study as Study
from hbr.experiments.api import compare as compare
from hbr.experiments.api import evaluate as evaluate
from hbr.experiments.api import load as load
from hbr.experiments.api import train as train

__version__: str
