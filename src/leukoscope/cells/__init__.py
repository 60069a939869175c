"""One image → its cells: cropped, checked and measured."""
