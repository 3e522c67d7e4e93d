# SPDX-License-Identifier: MIT
"""The camp's labs: each has a handout, a starter, automatic checks, and questions.

`lab` reads `labs/NN-name/`; `workspace` is a student's folder; `check` builds its content and runs the lab's checks in
virtual machines (`checkpoints` is their pytest plugin); `bundle` is the file that a student hands in; `grade` checks it
again, and `pages` shows a class.
"""

from r4l.camp.labs.checkpoints import Missed, see
from r4l.camp.labs.lab import Checkpoint, Lab, Question

__all__ = ["Checkpoint", "Lab", "Missed", "Question", "see"]
