package redis

// SetLargeBatch sets the number of users from which on a batch of s is written in
// a transaction.
func SetLargeBatch(s *Store, users int) { s.large = users }
