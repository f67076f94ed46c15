"""What the server's middleware notes in a request's ASGI scope, by key."""

from __future__ import annotations

OWNER = "refdesk.owner"
"""Who asks: a user's name, or a visitor's number."""
USER = "refdesk.user"
"""Whether who asks has logged in."""
LIBRARY = "refdesk.library"
"""The name of the library that is asked, empty where there is one."""
PATH = "refdesk.path"
"""The path below the library's page: "/docs/handbooks/api/ask" is "/api/ask"."""
