"""Style sheet, scripts and icons, for those who have logged in."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse

router = APIRouter()

FILES = {path.name: path for path in (Path(__file__).parent / "static").iterdir()}
"""By name; no other path is ever opened."""


@router.get("/static/{name}")
def static_file(name: str) -> FileResponse:
    """Return a file."""
    if name not in FILES:
        raise HTTPException(404)
    return FileResponse(FILES[name])
