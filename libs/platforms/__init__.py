"""The social platforms behind one interface (`base.Platform`), built by `registry.build`."""
