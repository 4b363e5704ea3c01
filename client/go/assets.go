package sakuga

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strconv"

	assetv1 "sakuga.dev/go/asset/v1"
	generationv1 "sakuga.dev/go/generation/v1"
)

// pieceBytes are the bytes of a message of an upload: as many as the server takes.
const pieceBytes = 256 << 10

// UploadAsset uploads a picture (PNG, JPEG, WebP) or an adapter (safetensors). Requests name the asset by its SHA-256: see
// UploadedImage and UploadedAdapter. After a lost connection it continues where it was. A file that the server has as an asset of
// this client is not sent again.
func (c *Client) UploadAsset(ctx context.Context, file io.ReadSeeker) (*assetv1.Asset, error) {
	hash := sha256.New()
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	size, err := io.Copy(hash, file)
	if err != nil {
		return nil, err
	}
	start := &assetv1.UploadStart{Sha256: hex.EncodeToString(hash.Sum(nil)), Size: uint64(size)}
	var retry retry
	for {
		asset, err := c.sendAsset(ctx, file, start)
		if err == nil {
			return asset, nil
		}
		var local *readError
		if errors.As(err, &local) {
			return nil, local.err
		}
		if held, ok := heldBytes(err, start.Size); ok {
			// The error says where the next call begins.
			if held > start.Offset {
				retry.failures = 0
			}
			if retry.failures++; retry.failures >= maxAttempts {
				return nil, explain(err)
			}
			start.Offset = held
			continue
		}
		if err := retry.after(ctx, err); err != nil {
			return nil, err
		}
	}
}

// UploadAssetFile uploads the file at path: see UploadAsset.
func (c *Client) UploadAssetFile(ctx context.Context, path string) (*assetv1.Asset, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return c.UploadAsset(ctx, file)
}

// DeleteAsset deletes an asset of this client.
func (c *Client) DeleteAsset(ctx context.Context, sha256 string) error {
	_, err := c.Assets.DeleteAsset(ctx, &assetv1.DeleteAssetRequest{Sha256: sha256})
	return explain(err)
}

// readError says that the local file cannot be read.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }

// sendAsset makes one call.
func (c *Client) sendAsset(
	ctx context.Context, file io.ReadSeeker, start *assetv1.UploadStart,
) (*assetv1.Asset, error) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	stream, err := c.Assets.UploadAsset(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := file.Seek(int64(start.Offset), io.SeekStart); err != nil {
		return nil, &readError{err}
	}
	message := &assetv1.UploadAssetRequest{Part: &assetv1.UploadAssetRequest_Start{Start: start}}
	err = stream.Send(message)
	piece := make([]byte, pieceBytes)
	for err == nil {
		count, read := io.ReadFull(file, piece)
		if count > 0 {
			data := &assetv1.UploadAssetRequest_Data{Data: bytes.Clone(piece[:count])}
			err = stream.Send(&assetv1.UploadAssetRequest{Part: data})
		}
		if errors.Is(read, io.EOF) || errors.Is(read, io.ErrUnexpectedEOF) {
			break
		}
		if read != nil {
			return nil, &readError{read}
		}
	}
	// A server that ended the call says why in its answer.
	answer, err := stream.CloseAndRecv()
	return answer.GetAsset(), err
}

// heldBytes are the bytes that the server has of an unfinished upload, if the error says so.
func heldBytes(err error, size uint64) (uint64, bool) {
	var refused *Error
	if !errors.As(explain(err), &refused) || refused.Reason != "UPLOAD_OFFSET" && refused.Reason != "UPLOAD_IDLE" {
		return 0, false
	}
	held, err := strconv.ParseUint(refused.Metadata["offset"], 10, 64)
	return held, err == nil && held <= size
}

// UploadedImage is an image that was uploaded, for `init` and `mask` of a request.
func UploadedImage(asset *assetv1.Asset) *generationv1.ImageSource {
	return &generationv1.ImageSource{Source: &generationv1.ImageSource_Asset{Asset: asset.GetSha256()}}
}

// InlineImage is an image within the request, of at most 2 MiB.
func InlineImage(file []byte) *generationv1.ImageSource {
	return &generationv1.ImageSource{Source: &generationv1.ImageSource_Inline{Inline: file}}
}

// UploadedAdapter is an adapter that was uploaded, with a factor on its effect.
func UploadedAdapter(asset *assetv1.Asset, scale float32) *generationv1.Adapter {
	return &generationv1.Adapter{Source: &generationv1.Adapter_Sha256{Sha256: asset.GetSha256()}, Scale: &scale}
}

// FromImage makes a request begin from an image. strength is the share of the steps that are computed, from 0 to 1: small values
// change the image little. It returns the request.
func FromImage(
	request *generationv1.GenerateRequest, image *generationv1.ImageSource, strength float32,
) *generationv1.GenerateRequest {
	request.Init = &generationv1.InitImage{Image: image, Strength: &strength}
	return request
}

// Inpaint makes a request draw only what is white in the mask, and keep every other pixel of its initial image. feather is the
// number of pixels over which both are mixed. It returns the request.
func Inpaint(
	request *generationv1.GenerateRequest, mask *generationv1.ImageSource, feather uint32,
) *generationv1.GenerateRequest {
	request.Mask = &generationv1.Mask{Image: mask, Feather: feather}
	return request
}

// InpaintBox makes a request draw a rectangle again, besides what it draws already, and keep every other pixel of its initial image.
// It returns the request.
func InpaintBox(request *generationv1.GenerateRequest, box *generationv1.Box) *generationv1.GenerateRequest {
	if request.Mask == nil {
		request.Mask = &generationv1.Mask{}
	}
	request.Mask.Boxes = append(request.Mask.Boxes, box)
	return request
}
