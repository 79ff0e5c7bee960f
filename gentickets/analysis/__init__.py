"""Analysis: results in, numbers and sentences out. Imports neither torch nor matplotlib nor jinja."""
