"""Files of others are data: what is read is bounded in size, checked whole, and refused in one line. Torch-free."""

from gentickets.files.bounded import MOST_TEXT, bounded
from gentickets.files.json_file import json_bytes, parse_json, read_json, shortened, wrong_field
from gentickets.files.tensor_header import Header, read_header, split_header

__all__ = [
    "MOST_TEXT",
    "Header",
    "bounded",
    "json_bytes",
    "parse_json",
    "read_header",
    "read_json",
    "shortened",
    "split_header",
    "wrong_field",
]
