"""The forms of transformers as the host's classes take them: the families' own, but for few blocks and few heads.

A line each of what a form says of the picture's tokens, of the text, of the blocks and of places.
"""

SD3 = (
    {"input_size": None, "in_channels": 16, "out_channels": 16}
    | {"adm_in_channels": 2048}
    | {"context_embedder_config": {"target": "torch.nn.Linear", "params": {"in_features": 4096, "out_features": 256}}}
    | {"depth": 4}  # and 64 channels and a head each
    | {"num_patches": 32**2, "pos_embed_max_size": 32, "pos_embed_scaling_factor": None}
)
FLUX_BLOCKS = {"hidden_size": 256, "mlp_ratio": 4.0, "num_heads": 2, "depth": 2, "depth_single_blocks": 3}
FLUX = (
    {"image_model": "flux", "in_channels": 16, "out_channels": 16, "patch_size": 2}
    | {"vec_in_dim": 768, "context_in_dim": 4096, "guidance_embed": True}
    | FLUX_BLOCKS
    | {"qkv_bias": True}
    | {"axes_dim": [16, 56, 56], "theta": 10000, "txt_ids_dims": []}
)
FLUX2 = (
    FLUX
    | {"image_model": "flux2", "in_channels": 128, "out_channels": 128, "patch_size": 1}
    | {"vec_in_dim": None, "context_in_dim": 7680}
    | {"mlp_ratio": 3.0, "qkv_bias": False, "global_modulation": True, "mlp_silu_act": True, "ops_bias": False}
    | {"axes_dim": [32, 32, 32, 32], "theta": 2000, "txt_ids_dims": [3]}
)
CHROMA = (
    {key: value for key, value in FLUX.items() if key != "guidance_embed"}
    | {"image_model": "chroma", "in_channels": 64, "out_channels": 64}
    | {"in_dim": 64, "out_dim": 256, "hidden_dim": 64, "n_layers": 2}
)
LONGCAT = {**FLUX, "vec_in_dim": None, "context_in_dim": 3584, "guidance_embed": False, "txt_ids_dims": [1, 2]}
HUNYUAN_IMAGE = (
    {"image_model": "hunyuan_video", "in_channels": 64, "out_channels": 64, "patch_size": [1, 1]}
    | {"vec_in_dim": None, "context_in_dim": 3584, "byt5": False, "vision_in_dim": None}
    | FLUX_BLOCKS
    | {"qkv_bias": True}
    | {"axes_dim": [64, 64], "theta": 256}
    | dict.fromkeys(("guidance_embed", "meanflow", "meanflow_sum", "use_cond_type_embedding"), False)
)
QWEN = {"image_model": "qwen_image", "in_channels": 64, "num_layers": 3, "num_attention_heads": 2}
LUMINA = (
    {"image_model": "lumina2", "in_channels": 16, "patch_size": 2}
    | {"cap_feat_dim": 2304}
    | {"dim": 192, "n_layers": 3, "n_heads": 2, "n_kv_heads": 1, "qk_norm": True, "ffn_dim_multiplier": 4.0}
    | {"axes_dims": [32, 32, 32], "axes_lens": [300, 512, 512], "rope_theta": 10000.0}
)
Z_IMAGE = (
    LUMINA
    | {"pad_tokens_multiple": 32}
    | {"cap_feat_dim": 2560}
    | {"dim": 256, "n_kv_heads": 2, "ffn_dim_multiplier": 8.0 / 3.0, "z_image_modulation": True, "time_scale": 1000.0}
    | {"axes_dims": [32, 48, 48], "axes_lens": [1536, 512, 512], "rope_theta": 256.0}
)
KREA2 = (
    {"image_model": "krea2", "channels": 16, "patch": 2}
    | {"txtlayers": 12, "txtdim": 80}  # 20 heads
    | {"features": 256, "heads": 2, "kvheads": 1, "layers": 3}
)
AURA = (
    {"cond_seq_dim": 2048, "global_conddim": 256}
    | {"dim": 256, "n_heads": 1, "n_double_layers": 2, "n_layers": 4}
    | {"max_seq": 32**2}
)
HIDREAM = (
    {"image_model": "hidream", "in_channels": 16, "out_channels": 16, "patch_size": 2}
    | {"caption_channels": [4096, 4096], "text_emb_dim": 2048, "llama_layers": [0, 1, 2, 2]}
    | {"attention_head_dim": 128, "num_attention_heads": 2, "num_layers": 2, "num_single_layers": 2}
    | {"axes_dims_rope": [64, 32, 32], "max_resolution": [128, 128]}
)
COSMOS = (
    {"image_model": "cosmos_predict2", "max_img_h": 240, "max_img_w": 240, "max_frames": 128}
    | {"in_channels": 16, "out_channels": 16, "patch_spatial": 2, "patch_temporal": 1, "concat_padding_mask": True}
    | {"crossattn_emb_channels": 1024}
    | {"model_channels": 256, "num_blocks": 3, "num_heads": 2, "use_adaln_lora": True, "adaln_lora_dim": 64}
    | {"pos_emb_cls": "rope3d", "pos_emb_learnable": True, "pos_emb_interpolation": "crop"}
    | {"rope_h_extrapolation_ratio": 4.0, "rope_w_extrapolation_ratio": 4.0, "rope_enable_fps_modulation": False}
)
PIXART = {"depth": 2, "input_size": 128, "pe_interpolation": 2}
HUNYUAN_DIT = {"image_model": "hydit", "depth": 4, "hidden_size": 128}
