package services

import (
	"context"
	"fmt"
	"strings"
	"sync"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// Proxies are the proxies of a run.
type Proxies struct {
	server *toxiproxy.ApiServer
	mu     sync.Mutex
	all    []*Proxy
}

// NewProxies returns a set without any.
func NewProxies() *Proxies {
	return &Proxies{server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())}
}

// Proxy stands before a server on 127.0.0.1.
type Proxy struct {
	Name  string
	proxy *toxiproxy.Proxy
}

// Add starts a proxy on the port, 0 for a free one.
func (ps *Proxies) Add(name string, port int, upstream string) (*Proxy, error) {
	if port == 0 {
		ports, err := freePorts(1)
		if err != nil {
			return nil, err
		}
		port = ports[0]
	}
	p := &Proxy{Name: name, proxy: toxiproxy.NewProxy(ps.server, name, loopback(port), upstream)}
	if err := p.proxy.Start(); err != nil {
		return nil, fmt.Errorf("start proxy %s: %w", name, err)
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.all = append(ps.all, p)
	return p, nil
}

// Stop ends all.
func (ps *Proxies) Stop() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.all {
		p.proxy.Stop()
	}
}

// Address is where the proxy listens.
func (p *Proxy) Address() string { return p.proxy.Listen }

// Cut closes all connections and refuses new ones until Mend.
func (p *Proxy) Cut() { p.proxy.Stop() }

// Mend ends a Cut, and whatever else is wrong with the connections.
func (p *Proxy) Mend() error {
	p.proxy.Toxics.ResetToxics(context.Background())
	p.proxy.Lock()
	enabled := p.proxy.Enabled
	p.proxy.Unlock()
	if enabled {
		return nil
	}
	if err := p.proxy.Start(); err != nil {
		return fmt.Errorf("start proxy %s: %w", p.Name, err)
	}
	return nil
}

// Lead changes what the proxy stands before; connections are closed.
func (p *Proxy) Lead(upstream string) error {
	if err := p.proxy.Update(&toxiproxy.Proxy{Listen: p.proxy.Listen, Upstream: upstream, Enabled: true}); err != nil {
		return fmt.Errorf("lead proxy %s to %s: %w", p.Name, upstream, err)
	}
	return nil
}

// Delay makes what comes back from the server late, by latency ± jitter ms.
func (p *Proxy) Delay(latency, jitter int) error {
	return p.toxic(`{"type":"latency","stream":"downstream","attributes":{"latency":%d,"jitter":%d}}`, latency, jitter)
}

// CutAfter closes each connection once the server has sent so many bytes: requests
// arrive, replies are lost.
func (p *Proxy) CutAfter(bytes int) error {
	return p.toxic(`{"type":"limit_data","stream":"downstream","attributes":{"bytes":%d}}`, bytes)
}

// CutRequestsAfter closes each connection once the client has sent so many bytes:
// a request may arrive in part.
func (p *Proxy) CutRequestsAfter(bytes int) error {
	return p.toxic(`{"type":"limit_data","stream":"upstream","attributes":{"bytes":%d}}`, bytes)
}

// Silence lets nothing come back from the server, with connections left open.
func (p *Proxy) Silence() error {
	return p.toxic(`{"type":"timeout","stream":"downstream","attributes":{"timeout":0}}`)
}

func (p *Proxy) toxic(format string, args ...any) error {
	if _, err := p.proxy.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(format, args...))); err != nil {
		return fmt.Errorf("proxy %s: %w", p.Name, err)
	}
	return nil
}
