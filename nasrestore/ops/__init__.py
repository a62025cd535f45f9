"""The built-in operations. Importing the package attaches their factories to their names.

A factory takes the number of input channels and the operation's parameters by keyword, and gives a
module from N C H W to N C' H' W'. That of an operation on clips takes ``frames`` as well, and its
module reads N T C H W.
"""

from nasrestore.ops import attention, average, conv, fuse, rain, resample, residual, temporal

__all__ = ["attention", "average", "conv", "fuse", "rain", "resample", "residual", "temporal"]
