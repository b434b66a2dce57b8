"""What only the making of the base weights needs: other data, teachers, other starts."""
