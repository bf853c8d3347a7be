"""Views to people: REST, subscriptions, the live dashboard."""
