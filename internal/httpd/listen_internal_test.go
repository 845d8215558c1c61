// SPDX-License-Identifier: AGPL-3.0-only

package httpd

import (
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestConnectionsBeyondTheLimitAreRefused(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	listener := limit(inner, 1)
	dial := func() net.Conn {
		connection, err := net.Dial("tcp", inner.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { connection.Close() })
		return connection
	}
	first := dial()
	held, err := listener.Accept()
	require.NoError(t, err)
	require.Equal(t, first.LocalAddr(), held.RemoteAddr())

	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			accepted <- connection
		}
	}()
	_, err = dial().Read(make([]byte, 1))
	require.Error(t, err, "refused at once")
	require.NoError(t, held.Close())
	require.Error(t, held.Close(), "a slot is freed once, however often a connection is closed")

	third := dial()
	next := <-accepted
	require.Equal(t, third.LocalAddr(), next.RemoteAddr())
	_, err = dial().Read(make([]byte, 1))
	require.Error(t, err, "there is still one slot only")
	require.NoError(t, next.Close())
	require.NoError(t, listener.Close())
	_, open := <-accepted
	require.False(t, open)
}

func TestListeningThatEndsByItselfCanBeginAgain(t *testing.T) {
	t.Parallel()
	server := New(slog.New(slog.DiscardHandler), time.Now)
	require.NoError(t, server.Listen("127.0.0.1:0"))
	require.NoError(t, server.listening.listener.Close())
	<-server.listening.done
	require.Empty(t, server.Addr())
	require.NoError(t, server.Listen("127.0.0.1:0"))
	require.NotEmpty(t, server.Addr())
	require.NoError(t, server.Close())
}
