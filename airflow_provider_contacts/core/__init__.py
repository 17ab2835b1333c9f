"""The part that knows neither Airflow nor a vendor: words, rules, and the one loop that sends."""
