"""Nodes that publish bags: `bag_player` and `tabletop_camera`."""
