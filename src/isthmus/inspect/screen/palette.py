"""The colours. None says what a sign or a word does not say as well; NO_COLOR takes them away."""

ACCENT = "#5fafaf"
NOTE = "#87afd7"
GOOD = "#87af87"
WARNING = "#d7af5f"
DAMAGE = "#e07070"
TEXT = "#c9ced6"
FAINT = "#7c8590"
GROUND = "#15181c"
SURFACE = "#1d2127"
PANEL = "#262b32"
CURSOR = "#2d444a"

#: For the problems.
SEVERITIES = {"note": NOTE, "warning": f"bold {WARNING}", "damage": f"bold {DAMAGE}"}
