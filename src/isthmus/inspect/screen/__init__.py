"""The live screen of ``isthmus top``. It needs textual, so only that command imports it.

`app` is the program, `listing` its first screen, `detail` the one about an object, `dialogs` what
lies over them, `grid` a table that draws no more than what is in sight. What they show comes from a
`source`, which tests replace, in real life from `live`; `columns`, `table` and `sections` turn it
into text, without a terminal.
"""
