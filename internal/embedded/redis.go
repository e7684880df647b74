package embedded

import (
	"fmt"
	"strings"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// Redis starts a Redis inside this process, for the demo and tests. It listens on
// a free port of 127.0.0.1 at address; everything in it is gone after stop.
func Redis() (address string, stop func(), err error) {
	m := miniredis.NewMiniRedis()
	if err := m.Start(); err != nil {
		return "", nil, fmt.Errorf("start the embedded Redis on a free port of 127.0.0.1: %w", err)
	}
	if err := m.Server().Register("CONFIG", config); err != nil {
		m.Close()
		return "", nil, fmt.Errorf("start the embedded Redis: %w", err)
	}
	return m.Addr(), m.Close, nil
}

// config answers CONFIG GET maxmemory-policy, which miniredis does not know: it
// never evicts.
func config(c *server.Peer, _ string, args []string) {
	if len(args) != 2 || !strings.EqualFold(args[0], "get") || !strings.EqualFold(args[1], "maxmemory-policy") {
		c.WriteError("ERR the embedded Redis only knows CONFIG GET maxmemory-policy")
		return
	}
	c.WriteMapLen(1)
	c.WriteBulk("maxmemory-policy")
	c.WriteBulk("noeviction")
}
