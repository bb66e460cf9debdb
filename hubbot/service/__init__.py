"""What a running bot answers: health, numbers, admins' orders, the Hub's webhooks; on one small door."""
