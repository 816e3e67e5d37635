"""From the command line to built objects. The only room that knows of Hydra and OmegaConf."""
