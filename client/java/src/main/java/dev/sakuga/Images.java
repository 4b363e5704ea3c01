package dev.sakuga;

import com.google.protobuf.ByteString;
import dev.sakuga.asset.v1.Asset;
import dev.sakuga.generation.v1.Adapter;
import dev.sakuga.generation.v1.Box;
import dev.sakuga.generation.v1.GenerateRequest;
import dev.sakuga.generation.v1.ImageSource;
import dev.sakuga.generation.v1.InitImage;
import dev.sakuga.generation.v1.Mask;

/** Requests that begin from an image, and draw a part of it again. */
public final class Images {
  private Images() {}

  /**
   * An image that was uploaded.
   *
   * @param asset the asset
   * @return the image, for {@link #from} and {@link #inpaint}
   */
  public static ImageSource uploaded(Asset asset) {
    return ImageSource.newBuilder().setAsset(asset.getSha256()).build();
  }

  /**
   * An image within the request.
   *
   * @param file a PNG, JPEG or WebP file of at most 2 MiB
   * @return the image, for {@link #from} and {@link #inpaint}
   */
  public static ImageSource inline(byte[] file) {
    return ImageSource.newBuilder().setInline(ByteString.copyFrom(file)).build();
  }

  /**
   * Makes a request begin from an image.
   *
   * @param request the request
   * @param image the image
   * @param strength the share of the steps that are computed, from 0 to 1: small values change the image little
   * @return the request
   */
  public static GenerateRequest.Builder from(GenerateRequest.Builder request, ImageSource image, float strength) {
    return request.setInit(InitImage.newBuilder().setImage(image).setStrength(strength));
  }

  /**
   * Makes a request draw only what is white in a mask, and keep every other pixel of its initial image.
   *
   * @param request the request
   * @param mask the mask
   * @param feather pixels over which drawn and kept ones are mixed around the mask, 0 to 256
   * @return the request
   */
  public static GenerateRequest.Builder inpaint(GenerateRequest.Builder request, ImageSource mask, int feather) {
    return request.setMask(Mask.newBuilder().setImage(mask).setFeather(feather));
  }

  /**
   * Makes a request draw a rectangle again, besides what it draws already, and keep every other pixel of its initial image.
   *
   * @param request the request
   * @param box the rectangle
   * @return the request
   */
  public static GenerateRequest.Builder inpaint(GenerateRequest.Builder request, Box box) {
    return request.setMask(request.getMask().toBuilder().addBoxes(box));
  }

  /**
   * An adapter that was uploaded.
   *
   * @param asset the asset
   * @param scale factor on its effect; 1 is as trained
   * @return the adapter, for the request
   */
  public static Adapter adapter(Asset asset, float scale) {
    return Adapter.newBuilder().setSha256(asset.getSha256()).setScale(scale).build();
  }
}
