"""Models over scenes of any size: tiles, views, blends, and jobs that may be cut short."""
