"""Models beside our vecset VAE, one file each; docs/add-your-model.md explains `cod_vae.py`."""
