"""An assessment as one page: templates, pictures, a style and a small script."""
