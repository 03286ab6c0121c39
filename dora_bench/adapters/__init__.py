"""Models of other packages, one file each; docs/your-model.md explains `cod_vae.py`."""
