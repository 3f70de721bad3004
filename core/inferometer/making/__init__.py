"""Making models: what needs torch is a script that runs in an engine's environment, never here.

A model directory that is made stands whole or not at all, and holds ``inferometer.json``: what made
it, of what, with which tools; ``weights`` (``upcycled`` or ``random``); and ``routing``, which is
``synthetic`` where a router was drawn. No engine reads it.
"""
