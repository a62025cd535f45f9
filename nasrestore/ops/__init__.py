"""The built-in operations. Importing the package attaches their factories to their names.

A factory takes the number of input channels and the operation's parameters by keyword, and gives a
module from N C H W to N C' H' W'.
"""

from nasrestore.ops import attention, conv, fuse, resample, residual

__all__ = ["attention", "conv", "fuse", "resample", "residual"]
