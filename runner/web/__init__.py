"""Speaking HTTP with systems that may be slow, wrong or hostile, in one way for everybody.

A ``Site`` says where a system is and how to get in; a ``Client`` speaks with it under the
rules of a ``runner.model.network.Network``. All that can go wrong comes out as an error of
``runner.errors``, whose sentence says what to do.
"""
