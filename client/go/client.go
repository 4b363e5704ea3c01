package sakuga

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	assetv1 "sakuga.dev/go/asset/v1"
	generationv1 "sakuga.dev/go/generation/v1"
	promptv1 "sakuga.dev/go/prompt/v1"
	systemv1 "sakuga.dev/go/system/v1"
)

// Client is a connection to a server. It may be used by several goroutines.
type Client struct {
	// Assets, Prompts, Generations, Jobs and System are the generated stubs, for calls without a method.
	Assets      assetv1.AssetServiceClient
	Prompts     promptv1.PromptServiceClient
	Generations generationv1.GenerationServiceClient
	Jobs        generationv1.JobServiceClient
	System      systemv1.SystemServiceClient

	connection *grpc.ClientConn
}

// New takes `https://host:port`, `http://host:port`, `host:port`, or `host` for port 50051. An empty address is the one in
// SAKUGA_SERVER, or else a server on this machine. It connects at the first call.
func New(address string, options ...Option) (*Client, error) {
	to, err := parseAddress(cmp.Or(address, os.Getenv(AddressVariable), DefaultAddress))
	if err != nil {
		return nil, err
	}
	connection, err := dial(to, options)
	if err != nil {
		return nil, err
	}
	return &Client{
		Assets:      assetv1.NewAssetServiceClient(connection),
		Prompts:     promptv1.NewPromptServiceClient(connection),
		Generations: generationv1.NewGenerationServiceClient(connection),
		Jobs:        generationv1.NewJobServiceClient(connection),
		System:      systemv1.NewSystemServiceClient(connection),
		connection:  connection,
	}, nil
}

// Close closes the connection. Calls that still run are cancelled.
func (c *Client) Close() error { return c.connection.Close() }

// Request is a request for the prompt in this text. Every other field has a default, which its comment describes.
func Request(prompt string) *generationv1.GenerateRequest {
	return &generationv1.GenerateRequest{Prompt: &generationv1.GenerateRequest_Xml{Xml: prompt}}
}

// Validate checks the text of a prompt: every finding, the canonical form, and what each text encoder reads and cuts. An
// invalid prompt is an answer and not an error.
func (c *Client) Validate(ctx context.Context, prompt string) (*promptv1.ValidatePromptResponse, error) {
	request := &promptv1.ValidatePromptRequest{Prompt: &promptv1.ValidatePromptRequest_Xml{Xml: prompt}}
	answer, err := c.Prompts.ValidatePrompt(ctx, request)
	return answer, explain(err)
}

// Parse turns text in any known envelope into the typed prompt.
func (c *Client) Parse(ctx context.Context, text string) (*promptv1.Prompt, error) {
	answer, err := c.Prompts.ParsePrompt(ctx, &promptv1.ParsePromptRequest{Xml: text})
	return answer.GetPrompt(), explain(err)
}

// Format writes a typed prompt as canonical XML.
func (c *Client) Format(ctx context.Context, prompt *promptv1.Prompt) (string, error) {
	answer, err := c.Prompts.FormatPrompt(ctx, &promptv1.FormatPromptRequest{Prompt: prompt})
	return answer.GetCanonicalXml(), explain(err)
}

// Generate draws a request. It returns once the server has accepted it. The job ends with ctx, and at its deadline.
func (c *Client) Generate(ctx context.Context, request *generationv1.GenerateRequest) (*Job, error) {
	ctx, end := context.WithCancel(ctx)
	stream, err := c.Generations.Generate(ctx, request)
	if err != nil {
		end()
		return nil, explain(err)
	}
	job, err := accepted(&generateCall{stream: stream, end: end})
	if err != nil {
		end()
	}
	return job, err
}

// Create draws a request as a job that the server keeps, so that a lost connection loses nothing. The call is repeated
// until it is answered, under one request_id, so it creates one job. options may be nil.
func (c *Client) Create(
	ctx context.Context, request *generationv1.GenerateRequest, options *generationv1.JobOptions,
) (*Job, error) {
	if request.GetRequestId() == "" {
		request = proto.Clone(request).(*generationv1.GenerateRequest)
		request.RequestId = rand.Text()
	}
	message := &generationv1.CreateJobRequest{Request: request, Options: options}
	answer, err := ask(ctx, func() (*generationv1.CreateJobResponse, error) { return c.Jobs.CreateJob(ctx, message) })
	if err != nil {
		return nil, err
	}
	return c.Watch(ctx, answer.GetJob().GetJobId(), nil), nil
}

// Watch watches a kept job from its first event, or after the last known one, Job.LastSequence. After a lost connection the
// events continue over a new one. The job does not end with ctx, only the stream does.
func (c *Client) Watch(ctx context.Context, jobID string, afterSequence *uint64) *Job {
	ctx, end := context.WithCancel(ctx)
	job := &Job{ID: jobID, source: &watchCall{client: c, ctx: ctx, end: end, jobID: jobID, after: afterSequence}}
	if afterSequence != nil {
		job.next = *afterSequence + 1
	}
	return job
}

// Job is the state of a kept job.
func (c *Client) Job(ctx context.Context, jobID string) (*generationv1.Job, error) {
	answer, err := c.Jobs.GetJob(ctx, &generationv1.GetJobRequest{JobId: jobID})
	return answer.GetJob(), explain(err)
}

// emptyPagesMax is how many empty pages, one after the other, end a list.
const emptyPagesMax = 100

// ListJobs ranges over kept jobs, the newest first. Pages are fetched as they are needed. filter may be nil.
func (c *Client) ListJobs(ctx context.Context, filter *generationv1.JobFilter) iter.Seq2[*generationv1.Job, error] {
	return func(yield func(*generationv1.Job, error) bool) {
		request := &generationv1.ListJobsRequest{Filter: filter}
		emptyPages := 0
		for {
			page, err := c.Jobs.ListJobs(ctx, request)
			if err != nil {
				yield(nil, explain(err))
				return
			}
			for _, job := range page.GetJobs() {
				if !yield(job, nil) {
					return
				}
			}
			emptyPages++
			if len(page.GetJobs()) > 0 {
				emptyPages = 0
			}
			// A search has empty pages. A server could send them, or the same token, forever.
			token := page.GetNextPageToken()
			if emptyPages == emptyPagesMax || token == "" || token == request.GetPageToken() {
				return
			}
			request.PageToken = token
		}
	}
}

// Cancel cancels a kept job: at once if it waits, at its next step if it runs.
func (c *Client) Cancel(ctx context.Context, jobID string) (*generationv1.Job, error) {
	answer, err := ask(ctx, func() (*generationv1.CancelJobResponse, error) {
		return c.Jobs.CancelJob(ctx, &generationv1.CancelJobRequest{JobId: jobID})
	})
	return answer.GetJob(), err
}

// Artifact reads a picture of a completed job, a PNG file. After a lost connection it continues at the next byte.
func (c *Client) Artifact(ctx context.Context, jobID string, imageIndex uint32) ([]byte, error) {
	var data []byte
	var total uint64
	var retry retry
	for total == 0 || uint64(len(data)) < total {
		err := c.readArtifact(ctx, jobID, imageIndex, &data, &total, &retry)
		if errors.Is(err, ErrDamaged) {
			return nil, err
		}
		if err == nil && uint64(len(data)) != total {
			return nil, fmt.Errorf("%w: picture %d ended after %d bytes of %d", ErrProtocol, imageIndex, len(data), total)
		}
		if err != nil {
			if err := retry.after(ctx, err); err != nil {
				return nil, err
			}
		}
	}
	return data, nil
}

// readArtifact appends what one call sends.
func (c *Client) readArtifact(
	ctx context.Context, jobID string, imageIndex uint32, data *[]byte, total *uint64, retry *retry,
) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	request := &generationv1.GetArtifactRequest{JobId: jobID, ImageIndex: imageIndex, Offset: uint64(len(*data))}
	stream, err := c.Jobs.GetArtifact(ctx, request)
	for err == nil {
		var response *generationv1.GetArtifactResponse
		if response, err = stream.Recv(); err != nil {
			break
		}
		chunk := response.GetChunk()
		have := uint64(len(*data))
		fits := chunk.GetTotalSize() <= maxPictureBytes && have+uint64(len(chunk.GetData())) <= chunk.GetTotalSize()
		if chunk.GetOffset() != have || !fits || *total != 0 && *total != chunk.GetTotalSize() {
			return damaged(imageIndex, "%d bytes arrived, and the next piece does not continue them", have)
		}
		*data, *total = append(*data, chunk.GetData()...), chunk.GetTotalSize()
		retry.failures = 0
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// Telemetry are samples of the device while a job ran, for the newest jobs since the start of the server.
func (c *Client) Telemetry(ctx context.Context, jobID string) (*generationv1.GetJobTelemetryResponse, error) {
	answer, err := c.Jobs.GetJobTelemetry(ctx, &generationv1.GetJobTelemetryRequest{JobId: jobID})
	return answer, explain(err)
}

// Delete deletes an ended job with its pictures.
func (c *Client) Delete(ctx context.Context, jobID string) error {
	_, err := c.Jobs.DeleteJob(ctx, &generationv1.DeleteJobRequest{JobId: jobID})
	return explain(err)
}

// Info has version, device, limits and queue of the server.
func (c *Client) Info(ctx context.Context) (*systemv1.GetServerInfoResponse, error) {
	answer, err := c.System.GetServerInfo(ctx, &systemv1.GetServerInfoRequest{})
	return answer, explain(err)
}

// Models are the models of the server; the first is the default.
func (c *Client) Models(ctx context.Context) ([]*systemv1.Model, error) {
	answer, err := c.System.ListModels(ctx, &systemv1.ListModelsRequest{})
	return answer.GetModels(), explain(err)
}

// WatchDevice ranges over samples of the device until the loop or ctx ends. request may be nil.
func (c *Client) WatchDevice(
	ctx context.Context, request *systemv1.WatchGpuStatsRequest,
) iter.Seq2[*systemv1.GpuStats, error] {
	return func(yield func(*systemv1.GpuStats, error) bool) {
		ctx, end := context.WithCancel(ctx)
		defer end()
		stream, err := c.System.WatchGpuStats(ctx, request)
		for err == nil {
			var response *systemv1.WatchGpuStatsResponse
			if response, err = stream.Recv(); err == nil && !yield(response.GetStats(), nil) {
				return
			}
		}
		if !errors.Is(err, io.EOF) {
			yield(nil, explain(err))
		}
	}
}

// WatchActivity ranges over what the server does and which processes hold the device's memory. request may be nil.
func (c *Client) WatchActivity(
	ctx context.Context, request *systemv1.WatchActivityRequest,
) iter.Seq2[*systemv1.Activity, error] {
	return func(yield func(*systemv1.Activity, error) bool) {
		ctx, end := context.WithCancel(ctx)
		defer end()
		stream, err := c.System.WatchActivity(ctx, request)
		for err == nil {
			var response *systemv1.WatchActivityResponse
			if response, err = stream.Recv(); err == nil && !yield(response.GetActivity(), nil) {
				return
			}
		}
		if !errors.Is(err, io.EOF) {
			yield(nil, explain(err))
		}
	}
}
