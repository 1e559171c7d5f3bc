"""EoMT, a closed-set yardstick."""
