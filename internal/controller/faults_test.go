// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/sandbox"
)

func TestDialSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		wrong func(*scene, *Config)
		want  string
		waits bool // waiting is all that is needed
	}{
		"nobody listens": {
			func(s *scene, _ *Config) { require.NoError(s.t, s.juju.CloseListener()) },
			"check that it runs and that this machine can reach it", true,
		},
		"logins are refused for now": {
			func(s *scene, _ *Config) { s.juju.RefuseLogins(true) }, "it will be tried again", true,
		},
		"the password is wrong": {
			func(s *scene, c *Config) {
				s.edit(c, func(text string) string {
					return strings.NewReplacer("apipassword: ", "apipassword: wrong", "oldpassword: ", "oldpassword: wrong").Replace(text)
				})
			}, "the controller refuses the password", false,
		},
		"the unit was removed": {
			func(s *scene, c *Config) { require.NoError(s.t, s.model.RemoveUnit(c.Unit)) }, "check that the unit still exists", false,
		},
		"the certificate is of another authority": {
			func(s *scene, _ *Config) { require.NoError(s.t, s.juju.SwapCertificate()) },
			"its certificate does not match the CA", false,
		},
		"agent.conf is of another unit": {
			func(_ *scene, c *Config) { c.Unit = "signet/1" }, `it belongs to unit "signet/0", not to "signet/1"`, false,
		},
		"agent.conf is missing": {
			func(_ *scene, c *Config) { c.AgentConf += ".missing" }, "there is no such file", false,
		},
		"agent.conf is open to others": {
			func(s *scene, c *Config) { require.NoError(s.t, os.Chmod(c.AgentConf, 0o640)) }, "chmod 0600 it", false,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, sandbox.Options{})
			config := s.config("signet/0")
			c.wrong(s, &config)
			_, err := dial(t.Context(), config)
			require.ErrorContains(t, err, c.want)
			require.Contains(t, err.Error(), "cannot ")
			if c.waits {
				require.ErrorIs(t, err, juju.ErrUnreachable)
			} else {
				require.NotErrorIs(t, err, juju.ErrUnreachable)
			}
		})
	}
}

// edit rewrites agent.conf.
func (s *scene) edit(config *Config, change func(string) string) {
	s.t.Helper()
	text, err := os.ReadFile(config.AgentConf)
	require.NoError(s.t, err)
	require.NoError(s.t, os.WriteFile(config.AgentConf, []byte(change(string(text))), 0o600))
}

func TestDialEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := dial(ctx, s.config("signet/0"))
	require.ErrorIs(t, err, context.Canceled)
}

func TestTheOldPasswordServesUntilTheNewOneHasArrived(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{})
	config := s.config("signet/0")
	s.edit(&config, func(text string) string { // as a unit agent does before it tells the controller
		return strings.Replace(text, "apipassword: ", "apipassword: not-yet-known\nunused: ", 1)
	})
	conn, err := dial(t.Context(), config)
	require.NoError(t, err)
	conn.Close()
}

func TestABrokenConnectionIsMadeAnew(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{})
	id := s.integrate()
	conn := s.dial("signet/0")
	s.quiet(conn)
	for range 3 {
		require.Equal(t, 1, s.juju.DropConnections())
		s.told(conn, func(juju.Snapshot) bool { return true })
	}
	s.writeAs("web/0", id, map[string]string{"unit_name": "web_0"}, nil)
	s.told(conn, func(snap juju.Snapshot) bool {
		return snap.On(juju.Provides, "tls-certificates")[0].RemoteUnits["web/0"]["unit_name"] == "web_0"
	})
	s.eventually(func() bool { return s.juju.Sessions("signet/0") == 1 })
}

func TestEachConnectReadsAgentConfAnew(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{})
	conn := s.dial("signet/0")
	s.quiet(conn)
	require.NoError(t, s.juju.RotatePassword("signet/0"))
	s.snapshot(conn) // a connection outlives its password
	s.juju.DropConnections()
	s.told(conn, func(juju.Snapshot) bool { return true })
}

func TestAnUntrustedControllerIsSaidSoUntilItIsTrusted(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{})
	conn := s.dial("signet/0")
	s.quiet(conn)
	require.NoError(t, s.juju.SwapCertificate())
	s.juju.DropConnections()
	s.eventually(func() bool {
		err := conn.Err()
		return err != nil && strings.Contains(err.Error(), "does not match the CA")
	})
	_, err := conn.Snapshot(t.Context())
	require.ErrorIs(t, err, juju.ErrUnreachable)
	require.ErrorContains(t, err, "does not match the CA")
	require.Zero(t, s.juju.Sessions("signet/0"))

	require.NoError(t, s.juju.RewriteAgentConfs())
	s.told(conn, func(juju.Snapshot) bool { return true })
}

func TestAControllerThatIsAwayIsAwaited(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{})
	require.NoError(t, s.juju.CloseListener())
	conn := Start(s.config("signet/0"))
	t.Cleanup(conn.Close)
	s.eventually(func() bool { return conn.Err() != nil && !errors.Is(conn.Err(), errConnecting) })
	_, err := conn.Snapshot(t.Context())
	require.ErrorIs(t, err, juju.ErrUnreachable)
	require.NoError(t, s.juju.Reopen())
	s.told(conn, func(juju.Snapshot) bool { return true })

	s.juju.RefuseLogins(true)
	s.juju.DropConnections()
	s.eventually(func() bool { return conn.Err() != nil && strings.Contains(conn.Err().Error(), "try") })
	s.juju.RefuseLogins(false)
	s.told(conn, func(juju.Snapshot) bool { return true })
}

func TestCloseLeavesNoConnection(t *testing.T) {
	t.Parallel()
	s := newScene(t, sandbox.Options{})
	conn := s.dial("signet/0")
	s.quiet(conn)
	conn.Close()
	s.eventually(func() bool { return s.juju.Sessions("signet/0") == 0 })
	_, err := conn.Snapshot(t.Context())
	require.ErrorIs(t, err, juju.ErrUnreachable)
}
