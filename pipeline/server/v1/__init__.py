"""The OpenAI dialect: a request becomes a native one, and the native reply is translated back."""
