"""Command lines: `zs-seg` (segment, label, bench, fetch), `bag_player` and `replay_test`."""
