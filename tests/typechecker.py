"""What checks gflow's annotations in tests: beartype, with an int taken for a float.

So reads PEP 484, and so do static type checkers; beartype does only when asked.
"""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
