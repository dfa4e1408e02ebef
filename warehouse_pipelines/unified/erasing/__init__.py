"""What a person may ask for: all that is held of them (``export``), and that it is erased (``erasure``).

``subject`` says who is meant, ``holdings`` where rows of people are, and ``token_scan`` finds a person in any text.
``crm``, ``identity`` and ``files`` erase in these places, ``emptying`` in the tables of sources. ``proposals`` are
erasures that a vendor's deletion proposes.
"""
