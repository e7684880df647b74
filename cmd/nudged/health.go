package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

func healthCommand() *cobra.Command {
	var addr string
	var live bool
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "health",
		Short: "Ask a running daemon whether it is ready",
		Long: `Ask a running daemon whether it is ready, at the address of its http.addr: exit code 0 if it is, 1 if
not. For health checks in containers that hold no other program.`,
		Example: `  nudged health
  nudged health --addr 127.0.0.1:8080 --live`,
		Args: arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			path := "/readyz"
			if live {
				path = "/livez"
			}
			ctx, cancel := context.WithTimeout(c.Context(), timeout)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, http.NoBody)
			if err != nil {
				return usageError{fmt.Errorf("--addr %q: expected host:port: %w", addr, err)}
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				return fmt.Errorf("%w; is the daemon running, with http.addr %s?", err, addr)
			}
			defer res.Body.Close()
			if _, err := io.Copy(c.OutOrStdout(), res.Body); err != nil {
				return err
			}
			if res.StatusCode != http.StatusOK {
				return fmt.Errorf("http://%s%s answers %s", addr, path, res.Status)
			}
			return nil
		},
	}
	c.Flags().StringVar(&addr, "addr", "127.0.0.1:8080", "host:port of the daemon's http.addr")
	c.Flags().BoolVar(&live, "live", false, "ask only whether it runs")
	c.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "how long to wait for the answer")
	return c
}
