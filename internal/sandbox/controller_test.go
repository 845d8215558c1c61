// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"testing"

	"github.com/juju/juju/rpc/params"
	"github.com/stretchr/testify/require"
)

func TestWhoHasTheWrongPasswordStaysOut(t *testing.T) {
	t.Parallel()
	c := started(t)
	right := apiInfo(t, c, "ca/0")
	wrong := *right
	wrong.Password = "wrong"
	_, err := open(t, &wrong)
	require.Error(t, err)
	require.True(t, params.IsCodeUnauthorized(err), "%v", err)

	stranger := *right
	stranger.Tag = apiInfo(t, c, "ca/1").Tag
	_, err = open(t, &stranger)
	require.True(t, params.IsCodeUnauthorized(err), "%v", err)
}

func TestARotatedPasswordIsInAgentConf(t *testing.T) {
	t.Parallel()
	c := started(t)
	before := apiInfo(t, c, "ca/0")
	require.NoError(t, c.RotatePassword("ca/0"))
	_, err := open(t, before)
	require.True(t, params.IsCodeUnauthorized(err), "%v", err)
	_, err = open(t, apiInfo(t, c, "ca/0"))
	require.NoError(t, err)
}

func TestARemovedUnitCannotLogIn(t *testing.T) {
	t.Parallel()
	c := started(t)
	info := apiInfo(t, c, "ca/1")
	require.NoError(t, c.Model().RemoveUnit("ca/1"))
	_, err := open(t, info)
	require.True(t, params.IsCodeUnauthorized(err), "%v", err)
}

func TestDroppedConnectionsBreakAndMayComeBack(t *testing.T) {
	t.Parallel()
	c := started(t)
	l := login(t, c, "ca/0")
	watcher, err := l.unit.WatchRelations()
	require.NoError(t, err)
	next(t, watcher.Changes())
	require.Equal(t, 1, c.DropConnections())
	awaitDead(t, l.conn)
	require.Error(t, watcher.Wait())
	login(t, c, "ca/0")
}

func TestRefusedLoginsAreToBeTriedAgain(t *testing.T) {
	t.Parallel()
	c := started(t)
	l := login(t, c, "ca/0")
	c.RefuseLogins(true)
	_, err := open(t, apiInfo(t, c, "ca/0"))
	require.Error(t, err)
	require.True(t, params.IsCodeTryAgain(err) || err.Error() == "try again", "%v", err)
	require.NoError(t, l.unit.Refresh(), "who is in stays in")
	c.RefuseLogins(false)
	login(t, c, "ca/0")
}

func TestAClosedListenerComesBackAtItsAddress(t *testing.T) {
	t.Parallel()
	c := started(t)
	addr := c.Addr()
	require.NoError(t, c.CloseListener())
	_, err := open(t, apiInfo(t, c, "ca/0"))
	require.Error(t, err)
	require.NoError(t, c.Reopen())
	require.Equal(t, addr, c.Addr())
	login(t, c, "ca/0")
}

func TestASwappedCertificateIsNotTrustedUntilAgentConfTells(t *testing.T) {
	t.Parallel()
	c := started(t)
	before := c.CACert()
	require.NoError(t, c.SwapCertificate())
	require.NotEqual(t, before, c.CACert())
	_, err := open(t, apiInfo(t, c, "ca/0"))
	require.ErrorContains(t, err, "certificate")
	require.NoError(t, c.RewriteAgentConfs())
	login(t, c, "ca/0")
}

func TestCloseEndsWhatWaits(t *testing.T) {
	t.Parallel()
	c := started(t)
	l := login(t, c, "ca/0")
	watcher, err := l.unit.WatchRelations()
	require.NoError(t, err)
	next(t, watcher.Changes())
	require.NoError(t, c.Close())
	awaitDead(t, l.conn)
	require.Error(t, watcher.Wait())
	require.NoDirExists(t, c.Dir())
}
