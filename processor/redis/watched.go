package redis

import (
	"context"
	"errors"
	"fmt"

	goredis "github.com/redis/go-redis/v9"
)

// What was counted of the experiments of the group is one field of a hash of its
// own; it belongs to no partition.
const watchedField = "tally"

func (s *Store) watchedKey() string { return "nudged:{" + s.group + "}:experiments" }

// LoadWatched returns what SaveWatched has kept last, nil if there is nothing.
func (s *Store) LoadWatched(ctx context.Context) ([]byte, error) {
	kept, err := s.client.HGet(ctx, s.watchedKey(), watchedField).Bytes()
	if errors.Is(err, goredis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("redis %s: reading what was counted of the experiments (key %s): %w", s.address, s.watchedKey(), err)
	}
	return kept, nil
}

// SaveWatched keeps what was counted of the experiments of the group.
func (s *Store) SaveWatched(ctx context.Context, kept []byte) error {
	if err := s.client.HSet(ctx, s.watchedKey(), watchedField, kept).Err(); err != nil {
		return fmt.Errorf("redis %s: keeping what was counted of the experiments (key %s): %w", s.address, s.watchedKey(), err)
	}
	return nil
}
