// SPDX-License-Identifier: AGPL-3.0-only

package controller

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// serverName is the name that every controller's certificate has, whatever its addresses are.
const serverName = "juju-apiserver"

// Reached is what one address of the controller was found to be.
type Reached struct {
	Address  string
	Trouble  error     // why nobody is reached, or who is reached is not trusted
	NotAfter time.Time // of the certificate, also of one that is not trusted
	Date     time.Time // when it is there (RFC 9110, 6.6.1); zero where it did not say
	Asked    time.Time // when it is here, in the middle of the question
}

// probeLimit bounds the look at one address; all are looked at side by side.
const probeLimit = 5 * time.Second

// Probe looks at each address that agent.conf names: whether it can be reached, whose certificate it has, and what time it is
// there. It does not log in, which a controller may take for the agent itself. The error is that agent.conf cannot be used.
func Probe(ctx context.Context, agentConf, unit string) ([]Reached, error) {
	who, err := readAgentConf(agentConf, unit)
	if err != nil {
		return nil, err
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM([]byte(who.info.CACert))
	found := make([]Reached, len(who.info.Addrs))
	var all sync.WaitGroup
	for i, address := range who.info.Addrs {
		all.Go(func() {
			bounded, cancel := context.WithTimeout(ctx, probeLimit)
			defer cancel()
			found[i] = probe(bounded, strings.TrimPrefix(address, "wss://"), trusted)
		})
	}
	all.Wait()
	return found, nil
}

func probe(ctx context.Context, address string, trusted *x509.CertPool) Reached {
	found := Reached{Address: address}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		if operation, ok := errors.AsType[*net.OpError](err); ok {
			err = operation.Err // without the address, which is named beside it
		}
		found.Trouble = err
		return found
	}
	defer conn.Close()
	if until, bounded := ctx.Deadline(); bounded {
		_ = conn.SetDeadline(until)
	}
	secured := tls.Client(conn, &tls.Config{RootCAs: trusted, ServerName: serverName, MinVersion: tls.VersionTLS13})
	if err := secured.HandshakeContext(ctx); err != nil {
		if unverified, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(unverified.UnverifiedCertificates) > 0 {
			found.NotAfter = unverified.UnverifiedCertificates[0].NotAfter
		}
		found.Trouble = err
		return found
	}
	found.NotAfter = secured.ConnectionState().PeerCertificates[0].NotAfter
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, "https://"+address+"/", nil)
	if err != nil {
		found.Trouble = err
		return found
	}
	request.Close = true
	began := time.Now()
	if err := request.Write(secured); err != nil {
		return found // the certificate was seen; what time it is there is not known
	}
	response, err := http.ReadResponse(bufio.NewReader(io.LimitReader(secured, longestHeader)), request)
	if err != nil {
		return found
	}
	_ = response.Body.Close()
	found.Asked = began.Add(time.Since(began) / 2)
	found.Date, _ = http.ParseTime(response.Header.Get("Date")) // none: nobody knows
	return found
}

// longestHeader is how much of a controller's answer is read.
const longestHeader = 64 << 10
