package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
)

func healthCommand() *cobra.Command {
	var addr string
	var live bool
	var wait, timeout time.Duration
	c := &cobra.Command{
		Use:   "health",
		Short: "Ask a running daemon whether it is ready",
		Long: `Ask a running daemon whether it is ready, at the address of its http.addr: exit code 0 if it is, 1 if
not. For health checks in containers that hold no other program.`,
		Example: `  nudged health
  nudged health --wait 30s
  nudged health --addr 127.0.0.1:8080 --live`,
		Args: arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			path := "/readyz"
			if live {
				path = "/livez"
			}
			deadline := time.Now().Add(wait)
			for {
				body, err := askHealth(c.Context(), "http://"+addr+path, timeout)
				if err == nil {
					fmt.Fprint(c.OutOrStdout(), body)
					return nil
				}
				var usage usageError
				if errors.As(err, &usage) || !time.Now().Before(deadline) {
					return err
				}
				select {
				case <-c.Context().Done():
					return err
				case <-time.After(200 * time.Millisecond):
				}
			}
		},
	}
	// As the daemon is told by the same variable.
	usual := cmp.Or(os.Getenv("NUDGED_HTTP_ADDR"), "127.0.0.1:8080")
	c.Flags().StringVar(&addr, "addr", usual, "host:port of the daemon's http.addr")
	c.Flags().BoolVar(&live, "live", false, "ask only whether it runs")
	c.Flags().DurationVar(&wait, "wait", 0, "ask again for so long, until it is")
	c.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "how long to wait for the answer")
	return c
}

// askHealth returns what the address answers, or why that is not well.
func askHealth(ctx context.Context, url string, timeout time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", usageError{fmt.Errorf("--addr: expected host:port: %w", err)}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("%w; is the daemon running, with this http.addr?", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answers %s: %s", url, res.Status, body)
	}
	return string(body), nil
}
