package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// CheckPolicy refuses a Redis that may remove keys on its own when its memory is
// full: a partition would lose single users and outbox entries, which nothing
// notices. In a Cluster all masters are asked; behind Sentinel the present one.
func CheckPolicy(ctx context.Context, client goredis.UniversalClient) error {
	if c, ok := client.(*goredis.ClusterClient); ok {
		return c.ForEachMaster(ctx, func(ctx context.Context, node *goredis.Client) error {
			return checkPolicy(ctx, node, node.Options().Addr)
		})
	}
	return checkPolicy(ctx, client, describe(client))
}

func checkPolicy(ctx context.Context, client goredis.Cmdable, address string) error {
	policy, err := readPolicy(ctx, client)
	if err != nil {
		if _, wayout := classify(err); wayout != "" {
			return fmt.Errorf("redis %s: reading maxmemory-policy: %w. %s", address, err, wayout)
		}
		return fmt.Errorf("redis %s: reading maxmemory-policy: %w", address, err)
	}
	if policy != "noeviction" {
		return fmt.Errorf("redis %s: maxmemory-policy is %s: Redis would remove states when its memory is full. Set it with `CONFIG SET maxmemory-policy noeviction`, and in redis.conf, so that it is still set after a restart", address, policy)
	}
	return nil
}

// readPolicy asks CONFIG, or INFO where CONFIG is forbidden or renamed, as hosted
// ones have it.
func readPolicy(ctx context.Context, client goredis.Cmdable) (string, error) {
	const name = "maxmemory-policy"
	config, err := client.ConfigGet(ctx, name).Result()
	if err == nil && config[name] != "" {
		return config[name], nil
	}
	var reply goredis.Error
	if err != nil && (!errors.As(err, &reply) || passes(err) || locked(err)) {
		return "", err
	}
	info, err2 := client.Info(ctx, "memory").Result()
	if err2 != nil {
		return "", fmt.Errorf("neither CONFIG GET nor INFO memory tells it: allow the Redis user one of them (ACL SETUSER <name> +config|get +info): %w", errors.Join(err, err2))
	}
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "maxmemory_policy:"); ok {
			return v, nil
		}
	}
	return "", fmt.Errorf("neither CONFIG GET nor INFO memory tells it: allow the Redis user one of them (ACL SETUSER <name> +config|get +info): %w", errors.Join(err, errors.New("INFO memory has no maxmemory_policy")))
}

// locked tells whether the user was not let in at all.
func locked(err error) bool {
	return goredis.HasErrorPrefix(err, "NOAUTH") || goredis.HasErrorPrefix(err, "WRONGPASS")
}

// Spare returns how many bytes are left below maxmemory; false if there is no limit, or
// it is not told, or there are several nodes.
func Spare(ctx context.Context, client goredis.UniversalClient) (bytes int64, limited bool) {
	if _, ok := client.(*goredis.ClusterClient); ok {
		return 0, false
	}
	info, err := client.Info(ctx, "memory").Result()
	if err != nil {
		return 0, false
	}
	fields := map[string]int64{}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			fields[name] = n
		}
	}
	limit := fields["maxmemory"]
	return limit - fields["used_memory"], limit > 0
}

// passes tells whether an error reply is about Redis' present condition and says
// nothing about the command.
func passes(err error) bool {
	for _, r := range replies {
		if goredis.HasErrorPrefix(err, r.begin) {
			return !r.permanent
		}
	}
	return false
}
