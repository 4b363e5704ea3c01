"""A Stable Diffusion XL checkpoint that draws, with a refiner if there is one."""

import torch
from torch import nn

from . import checkpoint, clip_text, diffusion, unet, vae
from .drawing import LATENT_PX, Drawer
from .record import Step

SIZE_PX, STEPS, GUIDANCE = 1024, 30, 7.0
# The share of the training times that the base model computes before a refiner.
SWITCH_AT = 0.8
AESTHETIC = (6.0, 2.5)


class Decoder(nn.Module):
    """Latents to pixels, by the names of `vae/`."""

    def __init__(self, config):
        super().__init__()
        channels, self.scaling = config.latent_channels, config.scaling_factor
        self.post_quant_conv = nn.Conv2d(channels, channels, 1)
        config.scaling_factor, config.shift_factor = 1.0, 0.0
        self.decoder = vae.Decoder(config)

    def forward(self, latents):
        return self.decoder(self.post_quant_conv((latents / self.scaling).to(self.post_quant_conv.weight.dtype)))


def load_decoder(folder, device, dtype):
    values = checkpoint.read_json(folder / "config.json") | {"shift_factor": 0.0}
    with torch.device("meta"):
        decoder = Decoder(vae.VaeConfig.of(values))
    files = checkpoint.weight_files(folder)
    # The configuration of the published file was written before its quantisation layers were optional.
    tensors = checkpoint.read_tensors(files, device, dtype, tolerated=("encoder.*", "quant_conv.*"))
    return checkpoint.fill(decoder, tensors)


class SdxlDrawer(Drawer):
    """Base model and, from `SWITCH_AT` of the times on, a refiner. Texts are lists of tags; weights in brackets are not read."""

    solver, shift, until = "dpm", 1.0, 1.0

    def __init__(self, folder, device, dtype, program_begun, refiner=None):
        super().__init__(folder, device, program_begun)
        self.dtype = dtype
        self.size_px = self.index.get("_sakuga_default_size_px", SIZE_PX)
        self.steps = self.index.get("_sakuga_default_steps", STEPS)
        self.guidance = self.index.get("_sakuga_default_guidance_scale", GUIDANCE)
        self.tokens = clip_text.tokenizer(folder / "tokenizer")
        self.clip_l = self.load("clip_l", folder / "text_encoder", clip_text.load, dtype)
        self.clip_g = self.load("clip_g", folder / "text_encoder_2", clip_text.load, dtype)
        self.networks = {"unet": self.load("unet", folder / "unet", unet.load, dtype)}
        if refiner is not None:
            self.networks["refiner"] = self.load("refiner", refiner / "unet", unet.load, dtype)
        self.decoder = self.load("autoencoder_kl", folder / "vae", load_decoder, dtype)
        if device.type == "cuda":
            # Convolutions on tensor cores want channels last.
            for part in (*self.networks.values(), self.decoder):
                part.to(memory_format=torch.channels_last)

    def parts(self):
        return {"clip_l": self.clip_l, "clip_g": self.clip_g, **self.networks, "autoencoder_kl": self.decoder}

    def compile(self, mode):
        """Residual and transformer blocks, and the decoder; every shape gets its own kernels."""
        # Blocks share their code, so all shapes count against one limit.
        torch._dynamo.config.recompile_limit = 64
        blocks = [part for network in self.networks.values() for part in network.modules()]
        for part in (*(part for part in blocks if isinstance(part, (unet.Block, unet.Resnet))), self.decoder):
            part.compile(dynamic=False, mode=mode)

    def conditions(self, text, _system_prompt=""):
        """Of base model and refiner: text of both halves [2, L, width] and pooled text [2, P]. The empty negative is zeros."""
        end = self.tokens.token_to_id(clip_text.END)
        of_l, _ = clip_text.encode(self.clip_l, clip_text.chunks(self.tokens, text, end, self.device))
        of_g, pooled = clip_text.encode(self.clip_g, clip_text.chunks(self.tokens, text, 0, self.device))
        contexts = {"unet": torch.cat([of_l, of_g], -1), "refiner": of_g}
        return {
            name: [torch.cat([x, torch.zeros_like(x)]) for x in (context, pooled)] for name, context in contexts.items()
        }

    def sizes(self, network, size_px):
        """The numbers that a network reads with the pooled text, [2, 6], or [2, 5] with scores."""
        width_px, height_px = size_px
        config = network.config
        pooled_width = self.clip_g.config.projection_dim
        count = (config["projection_class_embeddings_input_dim"] - pooled_width) // config["addition_time_embed_dim"]
        ends = [[score] for score in AESTHETIC] if count == 5 else [[height_px, width_px]] * 2
        return torch.tensor([[height_px, width_px, 0, 0, *end] for end in ends], device=self.device)

    def denoise(self, conditions, seed, size_px, steps, job, now_ms):
        width_px, height_px = size_px
        noise = torch.randn(
            (1, 4, height_px // LATENT_PX, width_px // LATENT_PX), generator=torch.Generator().manual_seed(seed)
        ).to(self.device)
        self.finish()
        before = now_ms()

        def see(_state):
            nonlocal before
            self.finish()
            after = now_ms()
            job.steps.append(Step(len(job.steps) + 1, after - before, after, self.guidance != 1))
            before = after

        return self.sample(conditions, noise, size_px, steps, see)

    def sample(self, conditions, noise, size_px, steps, see=lambda state: None):
        """Standard normal noise to latents."""
        sigmas, times = diffusion.karras(steps)
        cut = diffusion.TIMES * (1 - SWITCH_AT)
        sizes = {name: self.sizes(network, size_px) for name, network in self.networks.items()}

        def predict(state, time, _place):
            name = "refiner" if "refiner" in self.networks and time < cut else "unet"
            context, pooled = conditions[name]
            both = torch.cat([state, state])
            if self.device.type == "cuda":
                both = both.to(memory_format=torch.channels_last)
            found = self.networks[name](both, time, context, pooled, sizes[name]).float()
            conditional, unconditional = found.chunk(2)
            return unconditional + self.guidance * (conditional - unconditional)

        # At the largest level the state is noise of variance 1, as diffusers begins.
        return diffusion.dpmpp_2m(predict, noise, sigmas, times, see)

    def decode(self, latents):
        return self.decoder(latents)
