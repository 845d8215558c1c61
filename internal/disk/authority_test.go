// SPDX-License-Identifier: AGPL-3.0-only

package disk_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/ca/catest"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
)

func authority(folder *disk.Folder) *ca.Embedded {
	return ca.New(ca.Config{Store: folder.Secrets(), Journal: folder.Journal()})
}

func authorityOrder() order.CreateAuthority {
	return order.CreateAuthority{
		Generation: 1, CommonName: "signet CA G1", KeyType: cert.P256,
		NotBefore: time.Now().Add(-time.Hour), Life: 3650 * 24 * time.Hour,
	}
}

func TestTheEmbeddedAuthorityKeepsItsContractOnDisk(t *testing.T) {
	t.Parallel()
	catest.Run(t, func(t *testing.T) catest.Bench {
		root := t.TempDir()
		carrier := authority(open(t, root))
		made := carrier.Carry(t.Context(), authorityOrder())
		require.Nil(t, made.Failure)
		return catest.Bench{
			Carrier: carrier,
			Signer:  order.Signer{Authority: made.Authority},
			Reopen:  func() catest.Carrier { return authority(open(t, root)) },
		}
	})
}

// Power is lost at each operation of the disk while a certificate is made: there is never a second one, and one that was
// answered is durable, with its key.
func TestALossOfPowerGivesOneCertificate(t *testing.T) {
	t.Parallel()
	signer := func(t *testing.T, folder *disk.Folder) order.Signer {
		made := authority(folder).Carry(t.Context(), authorityOrder())
		require.Nil(t, made.Failure)
		return order.Signer{Authority: made.Authority}
	}
	issued := func(t *testing.T, folder *disk.Folder, id order.ID) (found []ledger.Entry) {
		entries, err := folder.Journal().Order(string(id))
		require.NoError(t, err)
		for _, entry := range entries {
			if entry.Event == ledger.Issued {
				found = append(found, entry)
			}
		}
		return found
	}
	sweep(t, scenario{
		before: func(t *testing.T, folder *disk.Folder) { signer(t, folder) },
		act: func(folder *disk.Folder) error {
			o := catest.ServerOrder(signer(t, folder))
			answer := authority(folder).Carry(t.Context(), o)
			if answer.Failure != nil {
				return errors.New(answer.Failure.Message)
			}
			return nil
		},
		whole: func(t *testing.T, folder *disk.Folder, acknowledged bool) {
			found := issued(t, folder, catest.ServerOrder(signer(t, folder)).ID())
			require.LessOrEqual(t, len(found), 1)
			require.False(t, acknowledged && len(found) == 0)
		},
		after: func(t *testing.T, folder *disk.Folder, _ *machine) {
			o := catest.ServerOrder(signer(t, folder))
			answer := authority(folder).Carry(t.Context(), o)
			require.Nil(t, answer.Failure)
			found := issued(t, folder, o.ID())
			require.Len(t, found, 1)
			require.Equal(t, found[0].Certificate, answer.Issued.Certificate)
			certificate, err := cert.Parse(answer.Issued.Certificate)
			require.NoError(t, err)
			require.True(t, cert.KeyMatches(answer.Issued.Key, certificate))
		},
	})
}
