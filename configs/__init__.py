"""The options of every group, for other Hydra applications: `hydra.searchpath: [pkg://segtrain.configs]`."""
