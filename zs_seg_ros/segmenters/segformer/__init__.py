"""SegFormer, the closed-set yardstick."""
