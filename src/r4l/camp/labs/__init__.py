# SPDX-License-Identifier: MIT
"""The labs of the camp: each a handout, a starter, checks that run by themselves, and questions.

`lab` reads `labs/NN-name/`; `workspace` is a student's folder; `check` builds what is in it and runs the lab's checks
in virtual machines (`checkpoints` is the pytest plugin they are written with); `bundle` is what a student hands in;
`grade` runs it again, and `pages` shows a class.
"""

from r4l.camp.labs.checkpoints import Missed, see
from r4l.camp.labs.lab import Checkpoint, Lab, Question

__all__ = ["Checkpoint", "Lab", "Missed", "Question", "see"]
