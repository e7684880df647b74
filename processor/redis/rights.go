package redis

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"

	"github.com/nudged/nudged/processor"
)

// Denied is a command that Redis does not let its user run on a partition's keys.
type Denied struct {
	Command string
	Err     error // as Redis said it
}

// CheckRights tells which of the commands that a Store needs the user of a node
// may not run on the keys of a partition. It changes nothing: what could is put
// into a transaction that is never executed, since Redis looks at rights when it
// takes a command in. In a Cluster each master is to be asked: users are kept by
// node.
func CheckRights(ctx context.Context, node *goredis.Client, group string, tp processor.TopicPartition) ([]Denied, error) {
	opts := *node.Options()
	opts.PoolSize, opts.MinIdleConns, opts.MaxRetries = 1, 0, -1
	// One connection and no other: on a second one what follows would not be in the
	// transaction.
	dial, dialled := opts.Dialer, atomic.Bool{}
	opts.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dialled.Swap(true) {
			return nil, errors.New("the connection was lost")
		}
		return dial(ctx, network, addr)
	}
	cl := goredis.NewClient(&opts)
	defer cl.Close()
	conn := cl.Conn()
	defer conn.Close()

	p := newPartition(group, tp)
	var denied []Denied
	ask := func(command string, err error) error {
		var reply goredis.Error
		switch {
		case err == nil, errors.Is(err, goredis.Nil):
		case goredis.HasErrorPrefix(err, "NOPERM"), goredis.HasErrorPrefix(err, "EXECABORT") && strings.Contains(err.Error(), "NOPERM"):
			denied = append(denied, Denied{command, err})
		case !errors.As(err, &reply), goredis.HasErrorPrefix(err, "NOAUTH"), goredis.HasErrorPrefix(err, "WRONGPASS"):
			return err
		}
		return nil // what else Redis has to say is not about rights
	}
	for _, args := range [][]any{{"watch", p.header}, {"unwatch"}, {"exec"}} {
		if err := ask(args[0].(string), conn.Do(ctx, args...).Err()); err != nil {
			return nil, err
		}
	}
	if err := conn.Do(ctx, "multi").Err(); err != nil {
		return denied, ask("multi", err)
	}
	commands := p.commands()
	cmds, _ := conn.Pipelined(ctx, func(pipe goredis.Pipeliner) error {
		for _, args := range commands {
			pipe.Do(ctx, args...)
		}
		return nil
	})
	for i, cmd := range cmds {
		name := commands[i][0].(string)
		if name == "config" {
			name = "config|get"
		}
		if err := ask(name, cmd.Err()); err != nil {
			return nil, err
		}
	}
	return denied, nil
}

// commands are those that a Store sends, itself and in its scripts, but for those
// of a transaction.
func (p *partition) commands() [][]any {
	users, timers := p.prefix+"u:0", p.timerList(0)
	return [][]any{
		{"ping"},
		{"info", "memory"},
		{"config", "get", "maxmemory-policy"},
		{"scan", "0", "match", pattern(p.prefix), "count", scanPage},
		{"eval", "return 1", 1, p.header},
		{"evalsha", batchScript.sha, 1, p.header},
		{"exists", p.header},
		{"hget", p.header, "e"},
		{"hmget", p.header, "e", "v"},
		{"hgetall", p.header},
		{"hset", users, "user", "state"},
		{"hdel", users, "user"},
		{"lindex", p.outbox, 0},
		{"lrange", p.outbox, 0, 0},
		{"llen", timers},
		{"ltrim", p.outbox, 2, -1},
		{"rpush", timers, "timer"},
		{"sadd", p.timers, 0},
		{"srem", p.timers, 0},
		{"smembers", p.timers},
		{"unlink", timers},
	}
}
